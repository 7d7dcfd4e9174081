CREATE TABLE installed_objects (
    name VARCHAR(128) NOT NULL COMMENT 'the file below sql/',
    sha256 CHAR(64) NOT NULL COMMENT 'of the text that is installed',
    PRIMARY KEY (name)
) COMMENT = 'the installed text of each routine, view and EVENT';
