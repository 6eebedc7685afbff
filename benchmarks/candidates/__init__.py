"""What is measured beside the plugin. Each does real round trips, as a person would write them with that tool."""
