"""`i2v admin`: the commands of operators, and in part of the admins of tenants. A file has the commands of one noun."""
