"""Delivery to a topic of Apache Kafka."""
