"""The domain, without pytest: definitions, trips, protocols, judgement."""
