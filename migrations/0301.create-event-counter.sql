CREATE TABLE event_counter (
    only_row TINYINT NOT NULL DEFAULT 1,
    last_position BIGINT NOT NULL DEFAULT 0 COMMENT 'the highest that an event has got',
    purged_position BIGINT NOT NULL DEFAULT 0 COMMENT 'the highest of a purged event',
    PRIMARY KEY (only_row),
    CONSTRAINT event_counter_one_row CHECK (only_row = 1)
) COMMENT = 'the positions of events; whoever gives them out or purges events locks the row';
