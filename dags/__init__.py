"""Example DAGs: copy one, or point Airflow's DAGs folder at this one."""
