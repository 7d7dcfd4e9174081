INSERT INTO event_counter (only_row) VALUES (1);
