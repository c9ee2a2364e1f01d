"""Language models as files that write token by token: a cache of keys and values goes in and out of each step."""
