"""All SQL: functions over an open connection, named by what they answer. They never open or commit anything."""
