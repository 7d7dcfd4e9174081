-- The tables and views that a deploy creates. Generated: python -m docs.generate.schema > sql/schema.sql
-- A test fails if this file differs from a new database.

CREATE TABLE `customer_units` (
  `hold_id` bigint NOT NULL,
  `product_id` bigint NOT NULL,
  `customer_id` varbinary(64) NOT NULL,
  `quantity` int NOT NULL COMMENT 'units',
  PRIMARY KEY (`hold_id`),
  KEY `customer_units_by_customer` (`customer_id`,`product_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='units of customers in active holds, pending and paid orders';

CREATE TABLE `event_counter` (
  `only_row` tinyint NOT NULL DEFAULT '1',
  `last_position` bigint NOT NULL DEFAULT '0' COMMENT 'the highest that an event has got',
  `purged_position` bigint NOT NULL DEFAULT '0' COMMENT 'the highest of a purged event',
  PRIMARY KEY (`only_row`),
  CONSTRAINT `event_counter_one_row` CHECK ((`only_row` = 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='the positions of events; whoever gives them out or purges events locks the row';

CREATE TABLE `event_receivers` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `url` varchar(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  `types` set('order.created','order.paid','order.cancelled','order.refunded','refund.due','hold.expired') COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'NULL: every type, later ones included',
  `state` enum('active','paused','gone') COLLATE utf8mb4_0900_bin NOT NULL DEFAULT 'active' COMMENT 'gone: it answered 410',
  `position` bigint NOT NULL COMMENT 'each event up to it is accepted, or in event_retries',
  `failed_batches` int NOT NULL DEFAULT '0' COMMENT 'in succession, in which nothing was accepted',
  `resumes_at` datetime DEFAULT NULL COMMENT 'UTC; no batch before it; NULL: at once',
  `secret` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'signs each event',
  `previous_secret` varchar(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL COMMENT 'signs too, for a day',
  `rotated_at` datetime DEFAULT NULL COMMENT 'UTC',
  `created_by` varchar(288) COLLATE utf8mb4_0900_bin NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='the URLs of the shop to which events are delivered';

CREATE TABLE `event_retries` (
  `receiver_id` bigint NOT NULL,
  `position` bigint NOT NULL COMMENT 'of the event',
  `order_id` bigint DEFAULT NULL COMMENT 'of the event; later ones of an order wait for the first; NULL: of a hold',
  `attempts` int NOT NULL DEFAULT '0' COMMENT 'that failed',
  `moved_at` datetime NOT NULL COMMENT 'UTC; it is set aside after three days',
  `next_attempt_at` datetime DEFAULT NULL COMMENT 'UTC; NULL: an earlier one of its order goes first, or it is set aside',
  `set_aside_at` datetime DEFAULT NULL COMMENT 'UTC; NULL: it is going to be retried',
  `failure` varchar(255) COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'of the last attempt',
  PRIMARY KEY (`receiver_id`,`position`),
  KEY `event_retries_by_order` (`receiver_id`,`order_id`,`set_aside_at`,`position`),
  KEY `event_retries_by_attempt` (`receiver_id`,`next_attempt_at`,`position`),
  KEY `event_retries_by_state` (`receiver_id`,`set_aside_at`,`position`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='events that a receiver has passed and not accepted';

CREATE TABLE `events` (
  `id` bigint NOT NULL AUTO_INCREMENT COMMENT 'in the order of insertion',
  `position` bigint DEFAULT NULL COMMENT 'in the feed, without gaps; NULL: not given yet',
  `type` enum('order.created','order.paid','order.cancelled','order.refunded','refund.due','hold.expired') COLLATE utf8mb4_0900_bin NOT NULL,
  `order_id` bigint DEFAULT NULL COMMENT 'NULL: the event of a hold',
  `hold_ids` json NOT NULL COMMENT 'array, ascending: the holds of the order, or the hold',
  `caller` varbinary(64) DEFAULT NULL COMMENT 'who made the holds; empty where no API keys are used; NULL: nobody',
  `occurred_at` datetime NOT NULL COMMENT 'UTC',
  `reason` enum('payment_failed','cancelled','timed_out','too_late','paid_twice','wrong_amount','orphaned') COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'of order.cancelled and refund.due',
  `amount` decimal(20,2) DEFAULT NULL COMMENT 'of refund.due and order.refunded',
  `payment_id` varbinary(255) DEFAULT NULL COMMENT 'of refund.due; NULL: not named',
  `refund_id` bigint DEFAULT NULL COMMENT 'of order.refunded',
  `status` enum('paid','refunded') COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'of order.refunded: the order''s',
  PRIMARY KEY (`id`),
  UNIQUE KEY `events_by_position` (`position`),
  KEY `events_by_caller` (`caller`,`position`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='what happened to orders and holds, for whoever fulfils them';

CREATE TABLE `holds` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `product_id` bigint NOT NULL,
  `quantity` int NOT NULL COMMENT 'units',
  `unit_price` decimal(12,2) DEFAULT NULL COMMENT 'the product''s price when the hold was made',
  `status` enum('active','ordered','expired','released') COLLATE utf8mb4_0900_bin NOT NULL DEFAULT 'active',
  `expires_at` datetime NOT NULL COMMENT 'UTC; expired from this second on',
  `is_extended` tinyint(1) NOT NULL DEFAULT '0' COMMENT 'the deadline was moved, which is allowed once',
  `caller` varbinary(64) NOT NULL DEFAULT '' COMMENT 'who made the hold; empty where no API keys are used',
  `inserted_by` int unsigned NOT NULL COMMENT 'connection id',
  `position` smallint unsigned NOT NULL COMMENT 'in its batch, from 1',
  PRIMARY KEY (`id`),
  KEY `holds_by_deadline` (`status`,`expires_at`),
  CONSTRAINT `holds_quantity_positive` CHECK ((`quantity` >= 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='units reserved until a deadline';

CREATE TABLE `idempotency_keys` (
  `operation` enum('hold','order','refund','adjustment') COLLATE utf8mb4_0900_bin NOT NULL,
  `caller` varbinary(64) NOT NULL DEFAULT '' COMMENT 'empty where no API keys are used',
  `idempotency_key` varbinary(255) NOT NULL,
  `fingerprint` varbinary(255) NOT NULL COMMENT 'the request, as the routine that records it writes it; SHA-256 where it is long',
  `result_id` bigint NOT NULL COMMENT 'hold, order, refund or adjustment',
  `result_expires_at` datetime DEFAULT NULL COMMENT 'of a hold, as first answered',
  `result_status` enum('pending','paid','cancelled','refunded') COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'of an order, or of the order of a refund, as first answered',
  `purge_after` datetime NOT NULL COMMENT 'UTC',
  `is_list` tinyint(1) DEFAULT NULL COMMENT 'of an order: its request named hold_ids',
  `result_total` bigint DEFAULT NULL COMMENT 'units after an adjustment, as first answered',
  `result_available` bigint DEFAULT NULL COMMENT 'units after an adjustment, as first answered',
  PRIMARY KEY (`operation`,`caller`,`idempotency_key`),
  KEY `idempotency_keys_by_purge` (`purge_after`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='accepted requests and their first answers';

CREATE TABLE `installed_objects` (
  `name` varchar(128) COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'the file below sql/',
  `sha256` char(64) COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'of the text that is installed',
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='the installed text of each routine, view and EVENT';

CREATE TABLE `measurements` (
  `only_row` tinyint NOT NULL DEFAULT '1',
  `holds_expired` bigint NOT NULL DEFAULT '0' COMMENT 'since the first deploy',
  `orders_expired` bigint NOT NULL DEFAULT '0' COMMENT 'cancelled as overdue, since the first deploy',
  `stock_differences` bigint NOT NULL DEFAULT '0' COMMENT 'products whose stock differed in the last check',
  `stock_checked_at` datetime DEFAULT NULL COMMENT 'UTC; NULL: never',
  PRIMARY KEY (`only_row`),
  CONSTRAINT `measurements_one_row` CHECK ((`only_row` = 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='figures of get_metrics that would otherwise need a scan';

CREATE TABLE `order_lines` (
  `order_id` bigint NOT NULL,
  `hold_id` bigint NOT NULL,
  `product_id` bigint NOT NULL,
  `quantity` int NOT NULL COMMENT 'units',
  `unit_price` decimal(12,2) NOT NULL COMMENT 'the hold''s',
  `refunded_quantity` int NOT NULL DEFAULT '0' COMMENT 'units',
  PRIMARY KEY (`order_id`,`hold_id`),
  UNIQUE KEY `order_lines_by_hold` (`hold_id`),
  CONSTRAINT `order_lines_quantity_positive` CHECK ((`quantity` >= 1)),
  CONSTRAINT `order_lines_refunded_within_quantity` CHECK ((`refunded_quantity` between 0 and `quantity`))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='what was ordered, one row per hold';

CREATE TABLE `orders` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `hold_id` bigint NOT NULL COMMENT 'the first of its holds; order_lines has all of them',
  `product_id` bigint DEFAULT NULL COMMENT 'NULL with several lines',
  `quantity` int DEFAULT NULL COMMENT 'units; NULL with several lines',
  `amount` decimal(20,2) NOT NULL COMMENT 'the sum of quantity times unit_price over its lines',
  `status` enum('pending','paid','cancelled','refunded') COLLATE utf8mb4_0900_bin NOT NULL DEFAULT 'pending',
  `payment_due_at` datetime NOT NULL COMMENT 'UTC; a pending order is cancelled from this second on',
  `payment_started_at` datetime DEFAULT NULL COMMENT 'UTC; when the client reported that its buyer is paying',
  `caller` varbinary(64) DEFAULT NULL COMMENT 'who made its holds; empty where no API keys are used',
  `customer_id` varbinary(64) DEFAULT NULL COMMENT 'whom its holds name; NULL: nobody',
  `paid_at` datetime DEFAULT NULL COMMENT 'UTC; NULL: not paid',
  PRIMARY KEY (`id`),
  UNIQUE KEY `orders_by_hold` (`hold_id`),
  KEY `orders_by_deadline` (`status`,`payment_due_at`),
  KEY `orders_by_caller` (`caller`),
  KEY `orders_by_customer` (`customer_id`),
  CONSTRAINT `orders_quantity_positive` CHECK ((`quantity` >= 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='holds that were ordered; at most one order per hold';

CREATE TABLE `payment_events` (
  `id` bigint NOT NULL AUTO_INCREMENT COMMENT 'arrival order',
  `idempotency_key` varbinary(255) NOT NULL COMMENT 'the event''s own key: bytes, no collation',
  `order_id` bigint NOT NULL COMMENT 'may not exist yet',
  `status` enum('success','failure','declined','pending','processing','authorized','refunded','disputed') COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'as payment_statuses maps the word that was delivered',
  `outcome` enum('waiting','applied','ignored','refund_due','orphaned') COLLATE utf8mb4_0900_bin NOT NULL DEFAULT 'waiting',
  `received_at` datetime(6) NOT NULL COMMENT 'UTC',
  `recorded_by` int unsigned NOT NULL DEFAULT '0' COMMENT 'connection id: tells the first delivery from a redelivery',
  `refund_settled_at` datetime DEFAULT NULL COMMENT 'UTC; when an operator settled the refund',
  `refund_settled_by` varchar(288) COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'account',
  `payment_id` varbinary(255) DEFAULT NULL COMMENT 'the provider''s name of the payment; NULL: not named',
  `amount` decimal(20,2) DEFAULT NULL COMMENT 'of the payment; NULL: not named',
  `refund_reason` enum('too_late','paid_twice','wrong_amount') COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'decided with the outcome refund_due',
  `currency` char(3) COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'of the amount, where it is not the shop''s',
  PRIMARY KEY (`id`),
  UNIQUE KEY `payment_events_by_key` (`idempotency_key`),
  KEY `payment_events_by_outcome` (`outcome`,`order_id`),
  KEY `payment_events_by_payment` (`payment_id`,`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='events of the payment webhook';

CREATE TABLE `payment_reviews` (
  `event_id` bigint NOT NULL COMMENT 'a dispute, or a success of another amount than its order''s',
  `settled_at` datetime DEFAULT NULL COMMENT 'UTC; when an operator settled the review',
  `settled_by` varchar(288) COLLATE utf8mb4_0900_bin DEFAULT NULL COMMENT 'account',
  PRIMARY KEY (`event_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='payment events that an operator has to review';

CREATE TABLE `payment_statuses` (
  `word` varbinary(16) NOT NULL COMMENT 'as delivered: bytes, no collation',
  `status` enum('success','failure','declined','pending','processing','authorized','refunded','disputed') COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'as payment_events records it',
  PRIMARY KEY (`word`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='words of payment providers and their statuses';

CREATE TABLE `products` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `name` varchar(255) COLLATE utf8mb4_0900_bin NOT NULL,
  `price` decimal(12,2) NOT NULL,
  `maximum_per_hold` bigint DEFAULT NULL COMMENT 'units; NULL: no maximum',
  `maximum_per_customer` bigint DEFAULT NULL COMMENT 'units; NULL: no maximum',
  `starts_at` datetime DEFAULT NULL COMMENT 'UTC; holds are accepted from this second on; NULL: at once',
  `ends_at` datetime DEFAULT NULL COMMENT 'UTC; holds are refused from this second on; NULL: the sale does not end',
  PRIMARY KEY (`id`),
  CONSTRAINT `products_customer_maximum_positive` CHECK ((`maximum_per_customer` >= 1)),
  CONSTRAINT `products_maximum_positive` CHECK ((`maximum_per_hold` >= 1)),
  CONSTRAINT `products_price_not_negative` CHECK ((`price` >= 0)),
  CONSTRAINT `products_window_not_empty` CHECK ((`starts_at` < `ends_at`))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='products on sale';

CREATE TABLE `refund_lines` (
  `refund_id` bigint NOT NULL,
  `hold_id` bigint NOT NULL COMMENT 'names the line of the order',
  `quantity` int NOT NULL COMMENT 'units',
  PRIMARY KEY (`refund_id`,`hold_id`),
  CONSTRAINT `refund_lines_quantity_positive` CHECK ((`quantity` >= 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='the units of each refund, one row per line of its order';

CREATE TABLE `refunds` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `order_id` bigint NOT NULL,
  `amount` decimal(20,2) NOT NULL COMMENT 'the sum of quantity times unit_price over its lines',
  `is_restocked` tinyint(1) NOT NULL COMMENT 'its units became available; otherwise they left the total',
  `caller` varbinary(64) NOT NULL COMMENT 'who asked for it; empty where no API keys are used',
  `idempotency_key` varbinary(255) NOT NULL,
  `account` varchar(288) COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'who called',
  `refunded_at` datetime NOT NULL COMMENT 'UTC',
  PRIMARY KEY (`id`),
  KEY `refunds_by_order` (`order_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='refunds of paid orders; the money moves at the payment provider';

CREATE TABLE `schema_release` (
  `only_row` tinyint NOT NULL DEFAULT '1',
  `schema_version` int NOT NULL COMMENT 'how far the migrations have come',
  `oldest_code` int NOT NULL COMMENT 'the oldest code that may run on this schema',
  PRIMARY KEY (`only_row`),
  CONSTRAINT `schema_release_one_row` CHECK ((`only_row` = 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='which code fits this schema; later migrations UPDATE the row';

CREATE TABLE `settings` (
  `name` varchar(64) COLLATE utf8mb4_0900_bin NOT NULL,
  `value` bigint NOT NULL,
  `minimum` bigint NOT NULL,
  `maximum` bigint NOT NULL,
  `description` varchar(255) COLLATE utf8mb4_0900_bin NOT NULL,
  PRIMARY KEY (`name`),
  CONSTRAINT `settings_value_within_range` CHECK ((`value` between `minimum` and `maximum`))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='settings of the procedures and the EVENT; change them with change_setting';

CREATE TABLE `stock` (
  `product_id` bigint NOT NULL,
  `total` bigint NOT NULL COMMENT 'units: available + held + pending + sold',
  `available` bigint NOT NULL COMMENT 'units that may be held',
  `version` bigint NOT NULL DEFAULT '1' COMMENT 'goes up with every change of the product or its stock',
  `archived_at` datetime DEFAULT NULL COMMENT 'UTC; holds have been refused since then; NULL: not archived',
  PRIMARY KEY (`product_id`),
  KEY `stock_by_archiving` (`archived_at`,`product_id`),
  CONSTRAINT `stock_available_within_total` CHECK ((`available` between 0 and `total`))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='units of each product, one row per product';

CREATE TABLE `stock_adjustments` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `product_id` bigint NOT NULL,
  `quantity` bigint NOT NULL COMMENT 'units added, negative when removed',
  `reason` varchar(255) COLLATE utf8mb4_0900_bin NOT NULL,
  `account` varchar(288) COLLATE utf8mb4_0900_bin NOT NULL COMMENT 'who called',
  `adjusted_at` datetime NOT NULL COMMENT 'UTC',
  PRIMARY KEY (`id`),
  KEY `stock_adjustments_by_product` (`product_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='each change of a total, with its reason';

CREATE TABLE `sweeps` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `swept_at` datetime(6) NOT NULL COMMENT 'UTC',
  `holds` int NOT NULL COMMENT 'expired',
  `orders` int NOT NULL COMMENT 'cancelled because their payment was overdue',
  `units` bigint NOT NULL COMMENT 'returned to stock',
  `duration_ms` int NOT NULL,
  `reported_at` datetime DEFAULT NULL COMMENT 'UTC; when the log line was written',
  PRIMARY KEY (`id`),
  KEY `sweeps_by_report` (`reported_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin COMMENT='sweeps that released something, one row per sweep';

-- view active_holds:
--   hold_id bigint
--   product_id bigint
--   quantity int
--   caller varchar(64)
--   customer_id varchar(64)
--   expires_at datetime
--   is_extended tinyint(1)

-- view event_deliveries:
--   receiver_id bigint
--   url varchar(1024)
--   types set('order.created','order.paid','order.cancelled','order.refunded','refund.due','hold.expired')
--   state varchar(7)
--   position bigint
--   events_behind bigint
--   events_retried bigint
--   events_set_aside bigint
--   lag_s bigint
--   created_by varchar(288)

-- view payments_to_review:
--   event_id bigint
--   idempotency_key varchar(255)
--   order_id bigint
--   reason varchar(12)
--   payment_id varchar(255)
--   amount decimal(20,2)
--   order_amount decimal(20,2)
--   received_at datetime(6)
--   currency char(3)

-- view pending_orders:
--   order_id bigint
--   hold_id bigint
--   product_id bigint
--   quantity int
--   amount decimal(22,2)
--   caller varchar(64)
--   customer_id varchar(64)
--   payment_started_at datetime
--   payment_due_at datetime

-- view refunded_lines:
--   refund_id bigint
--   refunded_at datetime
--   order_id bigint
--   hold_id bigint
--   product_id bigint
--   quantity int
--   amount decimal(22,2)
--   is_restocked tinyint(1)
--   account varchar(288)
--   caller varchar(64)
--   idempotency_key varchar(255)

-- view refunds_due:
--   event_id bigint
--   idempotency_key varchar(255)
--   order_id bigint
--   amount decimal(20,2)
--   outcome varchar(16)
--   received_at datetime(6)
--   reason varchar(12)
--   payment_id varchar(255)
--   currency char(3)

-- view repeated_payments:
--   event_id bigint
--   first_event_id bigint

-- view sales_per_minute:
--   minute datetime
--   product_id bigint
--   orders bigint
--   quantity decimal(32,0)
--   amount decimal(44,2)

-- view stock_levels:
--   product_id bigint
--   name varchar(255)
--   total_stock bigint
--   available_stock bigint
--   held decimal(32,0)
--   pending decimal(32,0)
--   sold decimal(33,0)
--   archived_at datetime

-- view undelivered_events:
--   receiver_id bigint
--   position bigint
--   type enum('order.created','order.paid','order.cancelled','order.refunded','refund.due','hold.expired')
--   order_id bigint
--   occurred_at datetime
--   attempts int
--   failure varchar(255)
--   next_attempt_at datetime
--   set_aside_at datetime

-- view waiting_payments:
--   event_id bigint
--   idempotency_key varchar(255)
--   order_id bigint
--   status enum('success','failure','declined','pending','processing','authorized','refunded','disputed')
--   received_at datetime(6)
