"""The API for backend services (``/v1``), the providers' webhooks and the two health routes."""
