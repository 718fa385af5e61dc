"""`/v1`: the API's own resources over HTTP, in JSON that is transcoded from the protos."""
