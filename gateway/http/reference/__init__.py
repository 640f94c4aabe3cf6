"""The readable pages about the API: `/docs` and `/problems`, rendered here from the OpenAPI document."""
