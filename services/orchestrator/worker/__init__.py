"""What a worker does: takes jobs from the queue, handles orphaned and overdue jobs, and reconciles paid calls."""
