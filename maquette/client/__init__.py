"""Calls to the services: channels, retries, streams. Needs grpc, protobuf and tenacity alone."""
