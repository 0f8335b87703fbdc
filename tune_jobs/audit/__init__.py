"""Judge finished runs as if they were live, and say what the judgement was worth."""
