// The states of a job, in words and colours. A state is never said by its colour alone.
export const STATES = {
  QUEUED: ["Waiting", ""],
  RUNNING: ["Being made", "running"],
  CANCELLING: ["Stopping", "warn"],
  RECONCILING: ["Asking the vendor", "warn"],
  SUCCEEDED: ["Ready", "good"],
  FAILED: ["Failed", "wrong"],
  CANCELLED: ["Stopped", ""],
};
