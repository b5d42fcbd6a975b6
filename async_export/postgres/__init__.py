"""What async_export knows about PostgreSQL; nothing here knows a resource."""
