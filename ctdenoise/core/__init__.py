"""Values that everything else is made of; knows numpy only."""
