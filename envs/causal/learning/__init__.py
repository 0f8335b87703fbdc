"""CausalLearning: choose interventions from which a student learns a causal model."""
