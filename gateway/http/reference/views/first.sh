export BOTENGANG_KEY=…   # the key, as it was shown

curl {{ base }}/v1/notifications \
  -H "Authorization: Bearer $BOTENGANG_KEY" \
  -H "Idempotency-Key: my-first-message" \
  -H "Content-Type: application/json" \
  -d '{
    "template": "termin_hinweis",
    "recipient": {"id": "test-delivered"},
    "variables": {"link": "https://info.mtk.example/n/k3Vq8ZtA"},
    "reference": "Vorgang-77"
  }'
