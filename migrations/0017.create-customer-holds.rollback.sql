DROP TABLE customer_holds;
