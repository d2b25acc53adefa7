"""What several gateways share through Redis or Valkey, where one is configured."""
