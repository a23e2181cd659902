"""What a build says of a whole model: report.json, report.html and trace.json."""
