ALTER TABLE stock DROP KEY stock_by_archiving;
