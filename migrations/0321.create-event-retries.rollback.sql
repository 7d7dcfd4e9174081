DROP TABLE event_retries;
