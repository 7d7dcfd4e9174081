DROP TABLE installed_objects;
