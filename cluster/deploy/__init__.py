"""Files that run a job on SLURM, Kubernetes or a Ray cluster, and tools that submit them."""
