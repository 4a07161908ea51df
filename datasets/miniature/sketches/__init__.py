"""Simple figures for what scenes do not serve: charts, signs, maps, geometry, diagrams."""
