"""Other axes and subspaces that may stand in a core's place: no controls, they say what extraction adds."""
