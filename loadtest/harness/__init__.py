"""What loadtest/run is made of; standard library only."""
