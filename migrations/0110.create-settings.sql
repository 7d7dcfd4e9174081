CREATE TABLE settings (
    name VARCHAR(64) NOT NULL,
    value BIGINT NOT NULL,
    minimum BIGINT NOT NULL,
    maximum BIGINT NOT NULL,
    description VARCHAR(255) NOT NULL,
    PRIMARY KEY (name),
    CONSTRAINT settings_value_within_range CHECK (value BETWEEN minimum AND maximum)
) COMMENT = 'settings of the procedures and the EVENT; change them with change_setting';
