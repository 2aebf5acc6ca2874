"""The wire: records the drivers speak, and their protobuf form."""
