"""What `pratique demo` plays: a supplier, a publisher and attackers around a small real training, on a real Airflow."""
