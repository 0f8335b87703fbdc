"""CausalOptimisation: choose interventions that drive one node of an unknown model down."""
