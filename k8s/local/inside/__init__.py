"""What programs inside the local cluster share: the demo and the end-to-end tests.

Law: it runs only inside the local cluster (place.py says so before anything is sent), and it does
what a user does, with kubectl and helm; the API is read directly because reading happens often.
"""
