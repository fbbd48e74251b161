"""The promises under faults: a stand-in for the two services, a crash matrix and random schedules."""
