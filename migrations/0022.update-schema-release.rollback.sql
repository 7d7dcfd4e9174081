UPDATE schema_release SET schema_version = 2;
