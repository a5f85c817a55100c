"""The words of EmbeddingService: names, spec, status. Pure; the CRD is generated from here."""
