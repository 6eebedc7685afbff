"""The clients: connections, and the three protocols on them. Nothing here knows of trips."""
