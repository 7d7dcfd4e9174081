DROP TABLE event_receivers;
