# A command for every operation of /openapi.json: each works as it stands, any number of times.
# Location says what a POST made: after it $hold is /api/holds/7, and ${hold##*/} is 7.

## list_products
curl -s 'http://127.0.0.1:8000/api/products?limit=50&after=0'

## get_product
curl -s http://127.0.0.1:8000/api/products/1

## stream_stock
curl -s --no-buffer --max-time 2 http://127.0.0.1:8000/api/products/1/stock/stream || [ $? = 28 ] # it has no end

## create_hold
curl -s http://127.0.0.1:8000/api/holds -H 'Content-Type: application/json' \
    -H 'Idempotency-Key: cart-17' -d '{"product_id":1,"quantity":2}'

## get_hold
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
curl -s "http://127.0.0.1:8000$hold"

## reduce_hold
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":2}')
curl -s -X PATCH "http://127.0.0.1:8000$hold" -H 'Content-Type: application/json' -d '{"quantity":1}'

## release_hold
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
curl -s -i -X DELETE "http://127.0.0.1:8000$hold"

## extend_hold
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
curl -s -X POST "http://127.0.0.1:8000$hold/extend"

## create_order
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
other=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":2}')
curl -s http://127.0.0.1:8000/api/orders -H 'Content-Type: application/json' \
    -d '{"hold_ids":['${hold##*/}','${other##*/}']}'

## list_orders
curl -s 'http://127.0.0.1:8000/api/orders?customer_id=customer-7&limit=50&after=0'

## get_order
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
order=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/orders \
    -H 'Content-Type: application/json' -d '{"hold_id":'${hold##*/}'}')
curl -s "http://127.0.0.1:8000$order"

## cancel_order
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
order=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/orders \
    -H 'Content-Type: application/json' -d '{"hold_id":'${hold##*/}'}')
curl -s -X POST "http://127.0.0.1:8000$order/cancel"

## start_payment
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
order=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/orders \
    -H 'Content-Type: application/json' -d '{"hold_id":'${hold##*/}'}')
# Without a body, the order gets payment_started_ttl_s.
curl -s "http://127.0.0.1:8000$order/start-payment" -H 'Content-Type: application/json' -d '{"window_s":1200}'

## apply_payment
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
order=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/orders \
    -H 'Content-Type: application/json' -d '{"hold_id":'${hold##*/}'}')
body='{"idempotency_key":"payment-'${order##*/}'","order_id":'${order##*/}',"status":"success"}'
# One of the service's WEBHOOK_SECRETS; where it has none, it reads no signature.
secret=${WEBHOOK_SECRET:-whsec_AAAA}
now=$(date +%s)
hexkey=$(printf %s "${secret#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
signature=$(printf %s "message-1.$now.$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hexkey" -binary | base64)
curl -s http://127.0.0.1:8000/api/payments/webhook -H 'Content-Type: application/json' -d "$body" \
    -H 'webhook-id: message-1' -H "webhook-timestamp: $now" -H "webhook-signature: v1,$signature"

## refund_order
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":2}')
order=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/orders \
    -H 'Content-Type: application/json' -d '{"hold_id":'${hold##*/}'}')
# The payment, signed as in the example of the webhook.
body='{"idempotency_key":"payment-'${order##*/}'","order_id":'${order##*/}',"status":"success"}'
secret=${WEBHOOK_SECRET:-whsec_AAAA}
now=$(date +%s)
hexkey=$(printf %s "${secret#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
signature=$(printf %s "message-1.$now.$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hexkey" -binary | base64)
curl -s -o /dev/null http://127.0.0.1:8000/api/payments/webhook -H 'Content-Type: application/json' -d "$body" \
    -H 'webhook-id: message-1' -H "webhook-timestamp: $now" -H "webhook-signature: v1,$signature"
curl -s "http://127.0.0.1:8000$order/refunds" -H 'Content-Type: application/json' \
    -d '{"restock":true,"lines":[{"hold_id":'${hold##*/}',"quantity":1}]}'

## apply_stripe_event
hold=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/holds \
    -H 'Content-Type: application/json' -d '{"product_id":1,"quantity":1}')
order=$(curl -s -o /dev/null -w '%header{location}' http://127.0.0.1:8000/api/orders \
    -H 'Content-Type: application/json' -d '{"hold_id":'${hold##*/}'}')
# Stripe sends more members than these, which the service reads.
body='{"id":"evt_'${order##*/}'","object":"event","type":"payment_intent.succeeded","data":{"object":
    {"id":"pi_'${order##*/}'","object":"payment_intent","amount":10000,"amount_received":10000,"currency":"eur",
    "metadata":{"order_id":"'${order##*/}'"}}}}'
now=$(date +%s)
# One of the service's STRIPE_WEBHOOK_SECRETS.
signature=$(printf %s "$now.$body" | openssl dgst -sha256 -hmac "$STRIPE_WEBHOOK_SECRET" -r | cut -d' ' -f1)
curl -s http://127.0.0.1:8000/api/payments/stripe -H 'Content-Type: application/json' -d "$body" \
    -H "Stripe-Signature: t=$now,v1=$signature"

## list_events
curl -s 'http://127.0.0.1:8000/api/events?after=0&limit=100&wait_s=1'

## healthz
curl -s http://127.0.0.1:8000/healthz

## readyz
curl -s http://127.0.0.1:8000/readyz

## openapi
curl -s http://127.0.0.1:8000/openapi.json

## docs
curl -s http://127.0.0.1:8000/docs

## docs_file
curl -s http://127.0.0.1:8000/docs/swagger-ui.css

## metrics
curl -s http://127.0.0.1:8000/metrics
