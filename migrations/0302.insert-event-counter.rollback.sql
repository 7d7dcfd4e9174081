DELETE FROM event_counter WHERE only_row = 1;
