"""What a worker does: takes jobs off the queue, handles orphaned and overdue jobs, and asks vendors."""
