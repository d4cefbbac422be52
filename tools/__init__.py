"""Programs for the people who maintain the service; nothing here is deployed."""
