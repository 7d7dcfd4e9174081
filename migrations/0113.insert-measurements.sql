INSERT INTO measurements (only_row) VALUES (1);
