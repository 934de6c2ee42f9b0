"""What ships of checks: each looks at one artifact and reports; none imports another."""
