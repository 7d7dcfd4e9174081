DROP TABLE payment_reviews;
