"""What an installation needs for so many jobs: measured costs, a simulation of queue and fleet, and what follows."""
